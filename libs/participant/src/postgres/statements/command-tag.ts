/** The server rolled a failed transaction back instead of doing what it was told. */
export class WrongCommandTagError extends Error {
  override readonly name = 'WrongCommandTagError';
}

/** @throws WrongCommandTagError unless the server did what it was told */
export function requireTag(tag: string, required: string): void {
  if (tag !== required) throw new WrongCommandTagError(`the server answered ${tag} instead of ${required}`);
}
