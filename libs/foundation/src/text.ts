/**
 * What not every part of the system can keep: a half of a surrogate pair becomes U+FFFD in UTF-8, in which two
 * different texts look the same, and PostgreSQL stores no NUL.
 */
const INEXACT = /[\p{Surrogate}\0]/u;
const EVERY_INEXACT = /[\p{Surrogate}\0]/gu;

/** Stands at the end of a text that was cut. */
export const CUT_MARK = '…';

/** Whether a text arrives everywhere as it is; ids, keys and payloads must. */
export function isExactText(text: string): boolean {
  return !INEXACT.test(text);
}

/**
 * A text for people that fits: at most `maximumLength` UTF-16 units, cut between two characters and marked where it
 * was cut. What cannot be kept exactly is written as its escape, `\ud800` or `\u0000`.
 *
 * The one place where texts are cut, so that what is said always can be sent.
 */
export function fitText(text: string, maximumLength: number): string {
  // escapes make a text longer, so what lies beyond the limit need not be looked at
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
