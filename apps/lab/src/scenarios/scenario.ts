import type { Narration } from '../narration.js';
import type { ScenarioLab } from './scenario-lab.js';
import type { Check } from './truth.js';

/** What the command line says beside the names of scenarios. */
export interface ScenarioOptions {
  /** the crash points that are visited where a scenario visits some; undefined: all */
  readonly points: RegExp | undefined;
}

/** One failure demo. It injects its fault under load; the checks afterwards are the same for all. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Breaks something, narrates, and starts again what it killed. */
  run(lab: ScenarioLab, options: ScenarioOptions): Promise<void>;
}

/** A demo that brings a world of its own: no local system is started for it, and its checks are its own, too. */
export interface StandaloneScenario {
  readonly name: string;
  readonly title: string;
  /** Shows something and says what of it held. */
  runAlone(narration: Narration): Promise<readonly Check[]>;
}

export type AnyScenario = Scenario | StandaloneScenario;

export function isStandalone(scenario: AnyScenario): scenario is StandaloneScenario {
  return 'runAlone' in scenario;
}
