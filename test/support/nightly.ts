/** Whether this is `npm run test:nightly`, which also runs what takes too long by day. */
export const IS_NIGHTLY = process.env['CONCORDAT_NIGHTLY'] === '1';
