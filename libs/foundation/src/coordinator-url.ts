/** Whether a text is the URL of a coordinator: HTTP, and without a user and a password, which would get into logs. */
export function isCoordinatorUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && !/@/.test(text);
}

/** A text that is none, for an error: without the password that may be in it. */
export function shownUrl(text: string): string {
  return /@/.test(text) ? 'a URL with a user or a password (give a token instead)' : `"${text}"`;
}
