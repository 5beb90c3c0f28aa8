/** The calls to other services that have no answer yet, by the context that they carry. Calls to one service share it. */
export class CallsUnderWay {
  private readonly counts = new Map<string, number>();

  has(context: string): boolean {
    return this.counts.has(context);
  }

  /** @returns ends it, once */
  begin(context: string): () => void {
    this.counts.set(context, (this.counts.get(context) ?? 0) + 1);
    return () => {
      const left = this.counts.get(context)! - 1;
      if (left > 0) this.counts.set(context, left);
      else this.counts.delete(context);
    };
  }
}
