import { startProgram } from '../support/program';
import { runScenarios } from '../support/scenarios';

runScenarios(() => startProgram());
