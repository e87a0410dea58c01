// SPDX-License-Identifier: Apache-2.0

package session

// CheckLocal refuses what is for places on this computer only.
var CheckLocal = checkLocal
