/** Concurrent requests where a scenario reads every transaction. */
const WORKERS = 8;

/** Does the same for every item, several at once. The first failure ends the wait. */
export async function sideBySide<Item>(items: Iterable<Item>, work: (item: Item) => Promise<void>): Promise<void> {
  const queue = [...items];
  const next = async (): Promise<void> => {
    for (let item = queue.pop(); item !== undefined; item = queue.pop()) await work(item);
  };
  await Promise.all(Array.from({ length: WORKERS }, next));
}
