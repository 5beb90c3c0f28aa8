import { InvalidAnswerError } from './errors/errors.js';
import type { Page } from './model/shapes.js';

/** All items of a list, page by page; the next page is read when it is needed. */
export async function* pages<Item>(
  readPage: (cursor: string | undefined) => Promise<Page<Item>>,
): AsyncGenerator<Item, void, undefined> {
  let cursor: string | undefined;
  for (;;) {
    const { items, nextCursor } = await readPage(cursor);
    yield* items;
    if (nextCursor === null) return;
    if (nextCursor === cursor) throw new InvalidAnswerError('the list does not go on: two pages have the same cursor');
    cursor = nextCursor;
  }
}
