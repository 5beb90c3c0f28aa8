import { Inject, type InjectionToken } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import { ConcordatClient } from '@concordat/client';
import { GlobalConfigurationError, GlobalTransactions } from '@concordat/participant';
import { ConcordatParticipant } from '../concordat-participant.service.js';
import { ConcordatTransport } from '../concordat-transport.js';
import { DEFAULT_CONNECTION } from '../connection-name.js';
import { CONCORDAT_PARTICIPANT_OPTIONS } from '../options.js';
import { CONCORDAT_OPTIONS } from './options.js';

const NAME = /^[A-Za-z0-9_-]{1,63}$/;

/** What the providers of one `ConcordatModule` are injected by. */
export interface ConnectionTokens {
  readonly transactions: InjectionToken;
  readonly participant: InjectionToken;
  readonly transport: InjectionToken;
  readonly client: InjectionToken;
  readonly options: InjectionToken;
  readonly participantOptions: InjectionToken;
}

const CLASSES: ConnectionTokens = {
  transactions: GlobalTransactions,
  participant: ConcordatParticipant,
  transport: ConcordatTransport,
  client: ConcordatClient,
  options: CONCORDAT_OPTIONS,
  participantOptions: CONCORDAT_PARTICIPANT_OPTIONS,
};

/** The classes themselves for the module without a name. @throws GlobalConfigurationError for a name that is none */
export function tokensOf(connectionName = DEFAULT_CONNECTION): ConnectionTokens {
  if (connectionName === DEFAULT_CONNECTION) return CLASSES;
  if (typeof connectionName !== 'string' || !NAME.test(connectionName)) {
    throw new GlobalConfigurationError(
      `connectionName is "${connectionName}"; use letters, digits, hyphens and underscores, at most 63`,
    );
  }
  const token = (what: string): string => `Concordat${what}:${connectionName}`;
  return {
    transactions: token('GlobalTransactions'),
    participant: token('Participant'),
    transport: token('Transport'),
    client: token('Client'),
    options: token('Options'),
    participantOptions: token('ParticipantOptions'),
  };
}

/** The sentence for a decorator whose module is not imported. */
export function noModuleSentence(connectionName: string): string {
  const which = connectionName === DEFAULT_CONNECTION ? 'without a connectionName' : `named "${connectionName}"`;
  return (
    `there is no ConcordatModule ${which} in the application; import ConcordatModule.forRoot(…) with that name in the ` +
    'root module, or name one that is there in the decorator: { connectionName: … }'
  );
}

/** What was injected. @throws GlobalConfigurationError when nothing was */
export function injected<T>(value: T | undefined, connectionName: string): T {
  if (value === undefined) throw new GlobalConfigurationError(noModuleSentence(connectionName));
  return value;
}

/** For `app.get` and `inject`: the `GlobalTransactions` of a module with this `connectionName`. */
export function getGlobalTransactionsToken(connectionName?: string): InjectionToken {
  return tokensOf(connectionName).transactions;
}

/** The `ConcordatParticipant` of a module with this `connectionName`, for its health and metrics. */
export function getParticipantToken(connectionName?: string): InjectionToken {
  return tokensOf(connectionName).participant;
}

/** The `ConcordatClient` of a module with this `connectionName`, for calls of the coordinators. */
export function getClientToken(connectionName?: string): InjectionToken {
  return tokensOf(connectionName).client;
}

/** The participant of a module of the application. @throws GlobalConfigurationError when there is none of that name */
export function findParticipant(moduleRef: ModuleRef, connectionName?: string): ConcordatParticipant {
  try {
    return moduleRef.get<ConcordatParticipant>(tokensOf(connectionName).participant, { strict: false });
  } catch (cause) {
    if (cause instanceof GlobalConfigurationError) throw cause;
    throw new GlobalConfigurationError(noModuleSentence(connectionName ?? DEFAULT_CONNECTION), { cause });
  }
}

/** Injects the `GlobalTransactions` of a module with this `connectionName`. */
export function InjectGlobalTransactions(connectionName?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getGlobalTransactionsToken(connectionName));
}
