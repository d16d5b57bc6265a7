// What the examples' tests use; scripts/test.mjs makes one file of it.
export { startProgram } from './program';
export { createDevice } from './shim';
export { startStandin } from './standin';
