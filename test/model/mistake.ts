import { realParts, type Bounds, type CommitOptions, type Parts } from './commit/options.js';

/** A part with a mistake in it, and a world that is just large enough for the mistake to show. */
export interface Mistake {
  readonly name: string;
  readonly parts: Partial<Parts>;
  readonly branches: number;
  readonly bounds: Partial<Bounds>;
  /** what else the world is, other than usual */
  readonly world?: Partial<Pick<CommitOptions, 'inclinations' | 'start' | 'instantBranches' | 'donesLost'>>;
  /** the rules one of which must be found broken */
  readonly breaks: readonly string[];
  /** where something is heard too early: must be found by what comes of it, too, with these bounds */
  readonly consequence?: {
    readonly branches?: number;
    readonly bounds: Partial<Bounds>;
    readonly world?: Mistake['world'];
    readonly breaks: readonly string[];
  };
}

/** The real parts with one of them exchanged for the mistaken one. */
export function mistakenParts({ parts }: Mistake, protocol: CommitOptions['protocol']): Parts {
  return { ...realParts(protocol), ...parts };
}
