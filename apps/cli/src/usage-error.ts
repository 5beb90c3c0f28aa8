/** A command line that means nothing; `message` is the sentence to print. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A text that may have been meant as the URL of a database, without what stands between its slashes and its host. */
export function withoutPasswords(text: string): string {
  return text.replace(/\/\/[^/\s]*@/g, '//***@');
}
