import { bringUp, type SystemContext } from './part.js';
import { dismiss, partOf, requireFreePorts, requireRunning } from './local-system.js';
import { SHOP_SERVICES } from './ports.js';
import { isRunning } from './process-table.js';
import type { SystemFile } from './system-file.js';

/**
 * Starts the services of the shop that do not run beside the running system. Ready when all three are.
 *
 * @returns ends those that it started; their data stay
 */
export async function openShop(context: SystemContext, file: SystemFile): Promise<() => Promise<void>> {
  const { processes, portOffset } = requireRunning(file);
  const missing = SHOP_SERVICES.filter(
    (name) => !processes.some((process) => process.name === name && isRunning(process)),
  );
  await requireFreePorts(missing, portOffset);
  const signal = new AbortController().signal;
  const close = async (): Promise<void> => {
    for (const name of missing) await dismiss(file, name);
  };
  try {
    await Promise.all(
      missing.map((name) =>
        bringUp(partOf({ ...context, portOffset }, name), (started) => file.record(started), signal),
      ),
    );
  } catch (error) {
    await close();
    throw error;
  }
  return close;
}
