export {
  bothBuses,
  directBus,
  kafkaBus,
  type BusContext,
  type BusFactory,
  type DirectBusOptions,
  type KafkaBusOptions,
} from './buses.js';
export { checkLibraries, type DatabaseLibrary } from './database-library.js';
export {
  checkGlobalParticipantOptions,
  serviceOptionsOf,
  type GlobalParticipantOptions,
} from './global-participant-options.js';
export { reasonsNotReady, type ParticipantHealth } from './health.js';
export { joinSources, type JoiningSourcesOptions, type Sources } from './joined-sources.js';
export { checkParticipantServiceOptions, type ParticipantServiceOptions } from './options.js';
export { ParticipantService, type ServiceHandlers } from './participant-service.js';
export type { DataSource, Pool, PostgresSource } from './postgres-source.js';
export {
  startParticipant,
  type OperationHandler,
  type RunningParticipant,
  type StartParticipantOptions,
} from './start-participant.js';
