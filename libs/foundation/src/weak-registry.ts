/** Things of this process that are known as long as somebody else needs them. */
export class WeakRegistry<Item extends object> implements Iterable<Item> {
  private readonly references = new Set<WeakRef<Item>>();

  /** @returns a function that removes it */
  add(item: Item): () => void {
    for (const other of this.references) if (other.deref() === undefined) this.references.delete(other);
    const reference = new WeakRef(item);
    this.references.add(reference);
    return () => this.references.delete(reference);
  }

  *[Symbol.iterator](): Iterator<Item> {
    for (const reference of [...this.references]) {
      const item = reference.deref();
      if (item !== undefined) yield item;
    }
  }
}
