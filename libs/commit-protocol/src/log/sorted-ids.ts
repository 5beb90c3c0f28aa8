/** Maximum number of ids in a block; adding or removing one moves about half of them. */
const BLOCK_SIZE = 512;
/** A smaller block is merged with its neighbour, if both fit into one with room to spare. */
const SMALL_BLOCK = BLOCK_SIZE / 4;

/**
 * A sorted set of ids, for iteration from any position. Optimised for ascending ids such as UUIDs of version 7, which
 * cost a push. Any other costs a few hundred moves, at any size.
 *
 * Must not change during an iteration.
 */
export class SortedIds {
  /** none is empty; all ids of one are below those of the next */
  private blocks: string[][] = [];

  add(id: string): void {
    const last = this.blocks.at(-1);
    if (!last || id > last.at(-1)!) {
      if (last && last.length < BLOCK_SIZE) last.push(id);
      else this.blocks.push([id]);
      return;
    }
    const at = this.blockOf(id);
    const block = this.blocks[at]!;
    block.splice(lowerBound(block, id), 0, id);
    if (block.length > BLOCK_SIZE) this.blocks.splice(at + 1, 0, block.splice(BLOCK_SIZE / 2));
  }

  delete(id: string): void {
    const at = this.blockOf(id);
    const block = this.blocks[at];
    const position = block ? lowerBound(block, id) : 0;
    if (block?.[position] !== id) return;
    block.splice(position, 1);
    if (block.length === 0) this.blocks.splice(at, 1);
    else if (block.length < SMALL_BLOCK) this.join(at);
  }

  reset(ids: Iterable<string>): void {
    const sorted = [...ids].sort();
    this.blocks = [];
    for (let at = 0; at < sorted.length; at += BLOCK_SIZE) this.blocks.push(sorted.slice(at, at + BLOCK_SIZE));
  }

  /** In descending order, below `id`; from the end without one. */
  *below(id?: string): Iterable<string> {
    const start = id === undefined ? this.blocks.length - 1 : this.blockOf(id);
    for (let at = start; at >= 0; at--) {
      const block = this.blocks[at];
      if (!block) continue; // the set is empty
      const end = id !== undefined && at === start ? lowerBound(block, id) : block.length;
      for (let position = end - 1; position >= 0; position--) yield block[position]!;
    }
  }

  /** In ascending order, above `id`; from the beginning without one. */
  *above(id?: string): Iterable<string> {
    const start = id === undefined ? 0 : this.blockOf(id);
    for (let at = start; at < this.blocks.length; at++) {
      const block = this.blocks[at]!;
      let position = id !== undefined && at === start ? lowerBound(block, id) : 0;
      if (id !== undefined && block[position] === id) position++;
      for (; position < block.length; position++) yield block[position]!;
    }
  }

  /** The position of the last block that begins at or below the id; 0 when there is none. */
  private blockOf(id: string): number {
    let [low, high] = [0, this.blocks.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.blocks[middle]![0]! <= id) low = middle;
      else high = middle;
    }
    return low;
  }

  private join(at: number): void {
    const next = at + 1 < this.blocks.length ? at + 1 : at;
    const [left, right] = [this.blocks[next - 1], this.blocks[next]];
    if (!left || !right || left.length + right.length > BLOCK_SIZE - SMALL_BLOCK) return;
    for (const id of right) left.push(id);
    this.blocks.splice(next, 1);
  }
}

/** The first position whose id is not below this one. */
function lowerBound(ids: readonly string[], id: string): number {
  let [low, high] = [0, ids.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ids[middle]! < id) low = middle + 1;
    else high = middle;
  }
  return low;
}
