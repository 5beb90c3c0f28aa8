import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { Link } from '../system.js';

/** 2PC with two branches in a result of another day. */
export interface EarlierFigures {
  readonly workload: 'transfer' | 'protocols';
  readonly file: string;
  readonly clients: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  /** throughput over that of the bound in the same run */
  readonly ratio: number;
}

/** of each workload */
const MAXIMUM_FILES = 3;

const transferSchema = z.object({
  systems: z.array(
    z.object({
      link: z.string(),
      comparisons: z.array(
        z.object({ clients: z.number(), systemPerSecond: z.number(), systemP50Ms: z.number(), ratio: z.number() }),
      ),
    }),
  ),
});
const protocolsSchema = z.object({
  systems: z.array(
    z.object({
      link: z.string(),
      figures: z.array(
        z.object({
          cell: z.object({ protocol: z.string(), branches: z.number() }),
          clients: z.number(),
          perSecond: z.number(),
          p50Ms: z.number(),
          ratio: z.number(),
        }),
      ),
    }),
  ),
});

/** Of this link in the last results of `transfer` in this directory, and then of `protocols`, each the newest first. */
export function earlierFigures(directory: string, link: Link): EarlierFigures[] {
  if (!existsSync(directory)) return [];
  const stampOf = (file: string): string => file.slice(file.indexOf('-'));
  const files = readdirSync(directory).sort((one, other) => stampOf(other).localeCompare(stampOf(one)));
  const newest = ['transfer', 'protocols'].map((workload) =>
    files.filter((file) => file.startsWith(`${workload}-`) && file.endsWith('.json')).slice(0, MAXIMUM_FILES),
  );
  return newest
    .flat()
    .flatMap((file) => parse(file, link, JSON.parse(readFileSync(path.join(directory, file), 'utf8'))));
}

/** A file of another shape, such as that of an older version, tells nothing. */
function parse(file: string, link: Link, content: unknown): EarlierFigures[] {
  if (file.startsWith('transfer')) {
    const { data } = transferSchema.safeParse(content);
    const system = data?.systems.find((one) => one.link === link);
    return (system?.comparisons ?? []).map(({ clients, systemPerSecond, systemP50Ms, ratio }) => ({
      workload: 'transfer',
      file,
      clients,
      perSecond: systemPerSecond,
      p50Ms: systemP50Ms,
      ratio,
    }));
  }
  const { data } = protocolsSchema.safeParse(content);
  const system = data?.systems.find((one) => one.link === link);
  return (system?.figures ?? [])
    .filter(({ cell }) => cell.protocol === '2pc' && cell.branches === 2)
    .map(({ clients, perSecond, p50Ms, ratio }) => ({ workload: 'protocols', file, clients, perSecond, p50Ms, ratio }));
}
