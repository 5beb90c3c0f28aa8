/**
 * Characters that some parts of the system cannot store: a lone surrogate becomes U+FFFD in UTF-8, so that different
 * texts become equal, and PostgreSQL stores no NUL.
 */
const INEXACT = /[\p{Surrogate}\0]/u;
const EVERY_INEXACT = /[\p{Surrogate}\0]/gu;

/** The end of a text that was cut. */
export const CUT_MARK = '…';

/** Whether a text can be stored everywhere unchanged; ids, keys and payloads must. */
export function isExactText(text: string): boolean {
  return !INEXACT.test(text);
}

/**
 * Shortens a text for people to `maximumLength` UTF-16 units, cut between two characters and marked. Inexact characters
 * become their escapes, `\ud800` or `\u0000`. Every text that is sent goes through here.
 */
export function fitText(text: string, maximumLength: number): string {
  // escapes make a text longer, so the part beyond the limit is not needed
  const head = text.length > maximumLength ? text.slice(0, maximumLength + 1) : text;
  const escaped = INEXACT.test(head) ? head.replace(EVERY_INEXACT, escapeOf) : head;
  if (escaped.length <= maximumLength) return escaped;
  let end = Math.max(0, maximumLength - CUT_MARK.length);
  if (isHighSurrogate(escaped.charCodeAt(end - 1))) end--;
  return escaped.slice(0, end) + CUT_MARK.slice(0, maximumLength);
}

function escapeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
