import type { Counterexample, ExplorationReport } from './explorer.js';

/** A broken rule with the shortest way to it, step by step, and the command that walks it again. */
export function formatCounterexample({ violation, steps, path }: Counterexample, command: string): string {
  const lines = steps.map((step, index) => `${String(index + 1).padStart(3)}. ${step}`);
  const epilogue = (violation.epilogue ?? []).map((step) => `  …  ${step}`);
  return [
    `${violation.rule} is broken after ${steps.length} steps: ${violation.detail}`,
    ...lines,
    ...epilogue,
    `replay: ${command} --replay ${path.join(',')}`,
  ].join('\n');
}

/** What was explored, in one line. */
export function formatReport(report: ExplorationReport): string {
  const { states, transitions, depth, terminalStates, complete, elapsedMs } = report;
  const seconds = elapsedMs / 1_000;
  return (
    `${states.toLocaleString('en')} states (${complete ? 'all there are' : 'not all there are'}), ` +
    `depth ${depth}, ${transitions.toLocaleString('en')} actions, ${terminalStates.toLocaleString('en')} terminal, ` +
    `${seconds.toFixed(1)} s, ${Math.round(states / seconds).toLocaleString('en')} states/s`
  );
}
