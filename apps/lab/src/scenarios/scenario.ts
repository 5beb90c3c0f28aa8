import type { ScenarioLab } from './scenario-lab.js';

/** One failure demo. It injects its fault under load; the checks afterwards are the same for all. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Breaks something, narrates, and starts again what it killed. */
  run(lab: ScenarioLab): Promise<void>;
}
