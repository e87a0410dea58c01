// SPDX-License-Identifier: Apache-2.0

// Package envs reads env.yaml and says what it comes to in one tier: a Definition, then a Plan. Load and MakePlan are pure: they read files
// that the definition names and nothing else, and change nothing. ReadSecrets alone reads the user's environment and runs commands, those it was
// allowed to. It knows no provider. The one rule: every problem is told at once, each with file, line and column, what was got and
// what is allowed.
package envs
