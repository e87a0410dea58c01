// SPDX-License-Identifier: Apache-2.0

package session

// CheckLocal refuses what is for places on this computer only.
var CheckLocal = checkLocal

// FreshName is a name for a copy of env that nobody has.
var FreshName = freshName
