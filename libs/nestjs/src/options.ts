import type { ParticipantServiceOptions } from '@concordat/participant';

/** The options of `ConcordatParticipantModule`: those of `ParticipantServiceOptions`. */
export type ConcordatParticipantOptions = ParticipantServiceOptions;

export const CONCORDAT_PARTICIPANT_OPTIONS = Symbol('CONCORDAT_PARTICIPANT_OPTIONS');
