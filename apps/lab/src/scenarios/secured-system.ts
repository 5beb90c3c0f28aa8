import type { SystemOptions } from '../arguments.js';
import type { Link } from '../local-system/ports.js';

/** Away from all ports of a system beside it, and of its neighbour. */
const PORT_DISTANCE = 600;

/**
 * The options of a secured system for the scenarios that need one, beside or after a plain system: a directory and ports
 * of its own, and every link that this machine has.
 *
 * @param link of the plain system
 */
export function securedBeside(options: SystemOptions, link: Link): SystemOptions {
  return {
    ...options,
    directory: `${options.directory}-secure`,
    portOffset: options.portOffset + PORT_DISTANCE,
    link: link === 'direct' ? 'direct' : 'both',
    isSecure: true,
  };
}
