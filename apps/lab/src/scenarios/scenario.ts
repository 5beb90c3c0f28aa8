import { LINKS, type Link } from '../local-system/ports.js';
import type { Narration } from '../narration.js';
import type { ScenarioLab } from './scenario-lab.js';
import type { Check } from './truth.js';

/** Options of the command line beside the names of scenarios. */
export interface ScenarioOptions {
  /** the crash points to visit; undefined: all */
  readonly points: RegExp | undefined;
}

/** One failure demo. It injects its fault under load; the checks afterwards are the same for all. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** the links on which it makes sense; default all */
  readonly links?: readonly Link[];
  /** whether it makes sense on a secured system only; it gets one of its own where none runs */
  readonly needsSecurity?: true;
  /** Injects the fault, narrates, and restarts what it killed. */
  run(lab: ScenarioLab, options: ScenarioOptions): Promise<void>;
}

/** A demo that needs no local system and has its own checks. */
export interface StandaloneScenario {
  readonly name: string;
  readonly title: string;
  runAlone(narration: Narration): Promise<readonly Check[]>;
}

export type AnyScenario = Scenario | StandaloneScenario;

/** The links on which a scenario runs; one that needs no system runs on all. */
export function linksOf(scenario: AnyScenario): readonly Link[] {
  return isStandalone(scenario) ? LINKS : (scenario.links ?? LINKS);
}

/** Whether a scenario needs TLS, signatures and credentials. */
export function needsSecurity(scenario: AnyScenario): boolean {
  return !isStandalone(scenario) && scenario.needsSecurity === true;
}

export function isStandalone(scenario: AnyScenario): scenario is StandaloneScenario {
  return 'runAlone' in scenario;
}
