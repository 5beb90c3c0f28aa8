/**
 * The port of `concordat dev` in each file of end-to-end tests, which run side by side. It takes the ports 1,000 below and
 * above as well. The last two digits are none that a local system uses (local-system.ts), whatever its offset, and all
 * stay below those that the system gives to outgoing connections.
 */
export const DEVELOPMENT_PORTS = {
  dev: 21_010,
  devDatabases: 21_020,
  doctor: 21_030,
  client: 21_040,
  sdkHttp: 21_050,
  sdkPackets: 21_060,
} as const;
