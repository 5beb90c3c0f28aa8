/**
 * A listener whose exceptions go to `onError`: an event target has no caller that could catch them, and in Node.js they
 * would end the process.
 *
 * @param onError must not throw
 */
export function guarded(listener: () => void, onError: (error: unknown) => void): () => void {
  return () => {
    try {
      listener();
    } catch (error) {
      onError(error);
    }
  };
}
