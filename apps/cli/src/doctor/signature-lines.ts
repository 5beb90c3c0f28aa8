import type { Environment } from '@concordat/foundation';
import type { CoordinatorFacts } from '@concordat/participant';
import type { DiagnosisLine } from './line.js';
import type { DoctorOptions } from './options.js';

/**
 * Whether messages over Kafka are signed where the coordinators ask who is there. A service may have its signatures by
 * its options as well; the environment is what can be seen from here, as with the settings of the broker.
 */
export function signatureLines(
  { kafkaBrokers }: DoctorOptions,
  coordinators: readonly CoordinatorFacts[],
  environment: Environment,
): readonly DiagnosisLine[] {
  if (kafkaBrokers.length === 0 || !areAsking(coordinators, environment)) return [];
  const line = { subject: kafkaBrokers.join(','), name: 'signatures' } as const;
  const mode = environment['CONCORDAT_SIGNATURES']?.trim() || 'off';
  if (mode === 'require') {
    return [{ ...line, status: 'ok', sentence: 'messages over Kafka must be signed (CONCORDAT_SIGNATURES)' }];
  }
  return [
    {
      ...line,
      status: 'warning',
      sentence:
        `REST asks who is there, and CONCORDAT_SIGNATURES is ${mode} here: anyone who may write to the topics can vote ` +
        'and decide',
      fix:
        'set CONCORDAT_SIGNATURES=require, CONCORDAT_SIGNING_KEY_FILE and CONCORDAT_TRUSTED_KEYS_FILE at all ' +
        'coordinators and services, "warn" first (or the option signatures of a service)',
    },
  ];
}

/** They refuse who shows nothing, or there is a token to show. */
function areAsking(coordinators: readonly CoordinatorFacts[], environment: Environment): boolean {
  if (coordinators.some(({ refusedWith }) => refusedWith !== undefined)) return true;
  return coordinators.length > 0 && Boolean(environment['CONCORDAT_TOKEN']);
}
