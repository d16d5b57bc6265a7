module.exports = {
  testEnvironment: 'jsdom',
  // The tests' servers and sockets are Node's.
  testEnvironmentOptions: { customExportConditions: ['node', 'require', 'default'] },
  // The SDK as it is built at this moment, not the copy that the IDE packs.
  moduleNameMapper: {
    '^payment-notifier-miniprogram$': '<rootDir>/../../clients/miniprogram/miniprogram_dist/index.js',
    '^payment-notifier-miniprogram/(\\w+)$': '<rootDir>/../../clients/miniprogram/miniprogram_dist/$1.js',
  },
  testMatch: ['<rootDir>/test/*.test.js'],
  testTimeout: 20000,
};
