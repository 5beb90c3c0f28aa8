import { LabError } from '../lab-error.js';

/** Limits that may be raised. Numbers only: none of them can weaken durability. */
const NAMES = ['max_connections', 'max_prepared_transactions'] as const;
const VARIABLE = 'CONCORDAT_LAB_POSTGRES_LIMITS';
const HIGHEST = 10_000;

/**
 * Raised limits of the local PostgreSQL servers, for programs that add databases to them:
 * `CONCORDAT_LAB_POSTGRES_LIMITS=max_connections=400,max_prepared_transactions=1000`.
 *
 * @throws LabError that names what is wrong
 */
export function postgresLimits(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Readonly<Record<string, string>> {
  const text = environment[VARIABLE]?.trim() ?? '';
  if (text === '') return {};
  return Object.fromEntries(
    text.split(',').map((one) => {
      const [name, value, ...more] = one.split('=').map((part) => part.trim());
      const known = NAMES.find((candidate) => candidate === name);
      const fits = value !== undefined && more.length === 0 && /^[1-9]\d*$/.test(value) && Number(value) <= HIGHEST;
      if (known && fits) return [known, value];
      throw new LabError(
        `${VARIABLE} holds "${one}"; it must be <name>=<whole number from 1 to ${HIGHEST}>, several separated by ` +
          `commas, with names of ${NAMES.join(', ')}.`,
      );
    }),
  );
}
