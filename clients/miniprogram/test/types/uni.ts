import { miniProgram, type Platform } from '../../src/index';

export const platform: Platform = miniProgram(uni);
