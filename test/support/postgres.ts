export { freePort, startTestPostgres, type TestPostgres } from '@concordat/testing/databases';
