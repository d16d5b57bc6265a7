import { runScenarios } from '../support/scenarios';
import { startStandin } from '../support/standin';

runScenarios(startStandin);
