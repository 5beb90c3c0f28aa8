import type { LockFigures } from '../locks/figures.js';
import type { Metrics } from './metrics.js';

export function watchLocks(metrics: Metrics, figures: () => LockFigures): void {
  metrics.gauge('concordat_locks_held', 'Locks that are held', () => figures().held);
  metrics.gauge('concordat_lock_waiters', 'Clients that wait for locks at this node, which leads', () => {
    return figures().waiting;
  });
  metrics.labelled(
    'concordat_lock_events_total',
    'Grants, renewals, releases, expiries, refusals of locks, and grants given back because the client had gone, while this node led',
    'event',
    'counter',
    () => Object.entries(figures().events),
  );
}
