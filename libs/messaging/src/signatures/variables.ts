import { oneOf, silentLogger, SystemClock, type Environment, type VariableProblem } from '@concordat/foundation';
import type { MessageSender } from '../contract/authenticity.js';
import { SignatureSetupError } from '../contract/errors.js';
import { MessageSignatures } from './message-signatures.js';
import { SIGNATURE_MODES, type SignatureMode, type SignatureSettings } from './settings.js';

const path = {
  default: null,
  expected: 'the path of a file',
  parse: (text: string): string | undefined => (text.includes('\0') ? undefined : text),
};

/** Environment variables of a process that signs its messages over Kafka. */
export const SIGNATURE_VARIABLES = {
  CONCORDAT_SIGNATURES: {
    meaning:
      'signatures of messages over Kafka: off; warn: all are signed, and what does not hold is counted and taken; require: what does not hold becomes a dead letter',
    default: 'off',
    ...oneOf(SIGNATURE_MODES),
  },
  CONCORDAT_SIGNING_KEY_FILE: {
    meaning: 'file with the key that signs, mode 0600, read again when it changes; "concordat key create" makes one',
    ...path,
  },
  CONCORDAT_TRUSTED_KEYS_FILE: {
    meaning:
      'file with the keys of all who may speak, read again when it changes; default: the signing key file, for one secret that all share',
    ...path,
  },
} as const;

interface SignatureValues {
  readonly CONCORDAT_SIGNATURES?: SignatureMode;
  readonly CONCORDAT_SIGNING_KEY_FILE?: string | undefined;
  readonly CONCORDAT_TRUSTED_KEYS_FILE?: string | undefined;
}

export interface SigningProcess {
  readonly cluster: string | undefined;
  readonly sender: MessageSender | undefined;
  /** the roads to the other side */
  readonly link: 'kafka' | 'direct' | 'both' | undefined;
}

/** Undefined: nothing is signed or checked. */
export function signatureSettings({
  CONCORDAT_SIGNATURES: mode = 'off',
  CONCORDAT_SIGNING_KEY_FILE: signingKeyFile,
  CONCORDAT_TRUSTED_KEYS_FILE: trustedKeysFile,
}: SignatureValues): SignatureSettings | undefined {
  if (mode === 'off' || signingKeyFile === undefined) return undefined;
  return { mode, signingKeyFile, ...(trustedKeysFile !== undefined && { trustedKeysFile }) };
}

/** What of the settings contradicts itself, and what is wrong with the files. */
export function checkSignatures(
  values: SignatureValues,
  { cluster, sender, link }: SigningProcess,
  environment: Environment,
  problems: VariableProblem[],
): void {
  const report = (variable: keyof SignatureValues, expected: string): void =>
    void problems.push({ variable, value: environment[variable]?.trim() || undefined, expected });
  const mode = values.CONCORDAT_SIGNATURES;
  if (mode === undefined) return;
  if (mode === 'off') {
    if (values.CONCORDAT_SIGNING_KEY_FILE === undefined && values.CONCORDAT_TRUSTED_KEYS_FILE === undefined) return;
    return report('CONCORDAT_SIGNATURES', '"warn" or "require": there are keys, and with "off" nobody uses them');
  }
  if (link === 'direct') {
    return report('CONCORDAT_SIGNATURES', 'left out: with CONCORDAT_LINK=direct no message goes over Kafka');
  }
  const settings = signatureSettings(values);
  if (!settings) {
    return report('CONCORDAT_SIGNING_KEY_FILE', 'the path of a key file, as "concordat key create" makes it');
  }
  if (cluster === undefined || sender === undefined) return;
  try {
    createSignatures(settings, { cluster, sender, clock: new SystemClock(), logger: silentLogger });
  } catch (error) {
    if (!(error instanceof SignatureSetupError)) throw error;
    const { signingKeyFile, trustedKeysFile } = settings;
    const isTrusted = trustedKeysFile !== undefined && error.message.startsWith(`${trustedKeysFile} must be `);
    const named = isTrusted ? trustedKeysFile : signingKeyFile;
    const variable = isTrusted ? 'CONCORDAT_TRUSTED_KEYS_FILE' : 'CONCORDAT_SIGNING_KEY_FILE';
    report(variable, error.message.replace(`${named} must be `, ''));
  }
}

/**
 * What a bus is given; undefined with `off`.
 *
 * @throws SignatureSetupError
 */
export function createSignatures(
  settings: SignatureSettings | undefined,
  process: Pick<MessageSignaturesProcess, 'cluster' | 'sender' | 'clock' | 'logger' | 'disbelieved'>,
): MessageSignatures | undefined {
  if (settings === undefined || settings.mode === 'off') return undefined;
  return new MessageSignatures({ ...settings, mode: settings.mode, ...process });
}

type MessageSignaturesProcess = ConstructorParameters<typeof MessageSignatures>[0];
