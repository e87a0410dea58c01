// SPDX-License-Identifier: Apache-2.0

// Package envs reads env.yaml and says what it comes to in one tier: a Definition, then a Plan. It is pure: it reads files that
// the definition names and nothing else, and changes nothing. It knows no provider. The one rule: every problem is told at
// once, each with file, line and column, what was got and what is allowed.
package envs
