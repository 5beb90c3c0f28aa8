const swc = (module) => [
  '@swc/jest',
  {
    swcrc: false,
    sourceMaps: 'inline',
    module: { type: module },
    jsc: {
      target: 'es2023',
      parser: { syntax: 'typescript', decorators: true, dynamicImport: true },
      transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
      keepClassNames: true,
    },
  },
];

/** As in production: ES modules, loaded by node:vm (needs --experimental-vm-modules). */
const esm = {
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.concordat/', '<rootDir>/.concordat-secure/'],
  moduleNameMapper: {
    '^@concordat/([^/]+)$': '<rootDir>/libs/$1/src/index.ts',
    '^@concordat/([^/]+)/([^/]+)$': '<rootDir>/libs/$1/src/$2/index.ts',
    '^concordat/([^/]+)$': '<rootDir>/apps/coordinator/src/$1/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1', // nodenext style "./x.js" names the emitted file
  },
  setupFiles: ['reflect-metadata'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': swc('es6'),
    // fastify's inject() (CommonJS) require()s the ESM-only `cookie`; Jest has require(esm) only on Node >= 24.9
    '/node_modules/cookie/.+\\.js$': swc('commonjs'),
  },
  transformIgnorePatterns: ['/node_modules/(?!cookie/)'],
};

export default {
  // against tests that hang; how fast a loaded machine is says nothing about the code
  testTimeout: 60_000,
  testSequencer: '<rootDir>/test/support/longest-first.mjs',
  coverageProvider: 'v8',
  collectCoverageFrom: ['{apps,libs}/*/src/**/*.ts', '!**/*.spec.ts', '!**/main.ts'],
  projects: [
    {
      ...esm,
      displayName: 'unit',
      testMatch: ['<rootDir>/{apps,libs}/*/src/**/*.spec.ts', '<rootDir>/test/unit/**/*.spec.ts'],
    },
    { ...esm, displayName: 'simulation', testMatch: ['<rootDir>/{libs,test}/**/*.sim-spec.ts'] },
    {
      ...esm,
      displayName: 'e2e',
      testMatch: ['<rootDir>/{apps,libs,test}/**/*.e2e-spec.ts'],
      testEnvironment: '<rootDir>/test/support/failure-aware-environment.mjs',
    },
  ],
};
