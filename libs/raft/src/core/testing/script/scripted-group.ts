import { invariant } from '@concordat/foundation';
import type { Entry, Message, NodeId } from '../../types.js';
import { formatMessage } from './message-notation.js';
import { formatEntry, formatPosition, nameOf } from './notation.js';
import { ScriptError } from './script-error.js';
import { ScriptedNode, type ScriptedNodeOptions, type Stage } from './scripted-node.js';

const MAXIMUM_DELIVERIES = 2000;

/**
 * The nodes of one script and the wires between them. A message stays on its wire until the script delivers it, in
 * the order of sending unless it says otherwise; one to a node that the script does not have is printed, no more.
 *
 * Whatever a script expects: no two nodes ever lead in one term, none ever writes another entry of an index and term
 * than others wrote, and none ever applies an entry that differs from what another applied at its index.
 */
export class ScriptedGroup implements Stage {
  readonly nodes = new Map<NodeId, ScriptedNode>();
  wires: Message[] = [];
  readonly lines: string[] = [];
  private readonly cuts = new Set<string>();
  private readonly leaders = new Map<number, NodeId>();
  private readonly appliedEntries = new Map<number, string>();
  private readonly writtenEntries = new Map<string, string>();
  private header: string | undefined;

  node(nodeId: NodeId): ScriptedNode {
    const node = this.nodes.get(nodeId);
    if (!node) throw new ScriptError(`there is no node ${nodeId}`);
    return node;
  }

  add(options: ScriptedNodeOptions): void {
    if (this.nodes.has(options.nodeId)) throw new ScriptError(`there is a node ${options.nodeId} already`);
    const node = new ScriptedNode(options, this);
    this.nodes.set(options.nodeId, node);
    this.heading(`${options.nodeId} starts`, () => node.boot());
  }

  /** The machine comes back with an empty disk. */
  replace(options: ScriptedNodeOptions): void {
    this.nodes.delete(options.nodeId);
    this.add(options);
  }

  // --- printing

  print(line: string): void {
    if (this.header !== undefined) this.lines.push(`> ${this.header}`);
    this.header = undefined;
    this.lines.push(`  ${line}`);
  }

  /** Runs something of one node; the heading is printed when anything comes of it, or `always`. */
  heading(text: string, run: () => void, always = true): void {
    this.header = text;
    run();
    if (this.header !== undefined && always) this.lines.push(`> ${text}`);
    this.header = undefined;
  }

  // --- the stage

  send(message: Message): void {
    const lost = this.cuts.has(wireOf(message));
    this.print(`${formatMessage(message)}${lost ? ' (lost)' : ''}`);
    if (!lost && this.nodes.has(message.to)) this.wires.push(message);
  }

  written(nodeId: NodeId, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const text = formatEntry(entry);
      const position = formatPosition(entry);
      const known = this.writtenEntries.get(position) ?? text;
      invariant(known === text, `log matching: node ${nodeId} writes ${text}, another one wrote ${known}`);
      this.writtenEntries.set(position, text);
    }
  }

  applied(nodeId: NodeId, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const text = formatEntry(entry);
      const known = this.appliedEntries.get(entry.index) ?? text;
      invariant(known === text, `state machine safety: node ${nodeId} applies ${text}, another one applied ${known}`);
      this.appliedEntries.set(entry.index, text);
    }
  }

  leads(nodeId: NodeId, term: number): void {
    const leader = this.leaders.get(term) ?? nodeId;
    invariant(leader === nodeId, `election safety: nodes ${leader} and ${nodeId} lead in term ${term}`);
    this.leaders.set(term, nodeId);
  }

  // --- wires

  cut(from: NodeId, to: NodeId): void {
    if (from !== to) this.cuts.add(`${from}->${to}`);
  }

  heal(): void {
    this.cuts.clear();
  }

  deliver(message: Message): void {
    const node = this.nodes.get(message.to);
    if (!node?.isRunning || this.cuts.has(wireOf(message))) {
      this.lines.push(`> ${nameOf(message)} is lost`);
      return;
    }
    this.heading(`${message.to} takes ${message.type} of ${message.from}`, () =>
      node.act((core) => core.step(message)),
    );
  }

  /** Delivers until nothing is on its way. */
  settle(): void {
    for (let deliveries = 0; this.wires.length > 0; deliveries++) {
      if (deliveries === MAXIMUM_DELIVERIES) throw new ScriptError('the group does not come to rest');
      this.deliver(this.wires.shift()!);
    }
  }
}

function wireOf({ from, to }: Message): string {
  return `${from}->${to}`;
}
