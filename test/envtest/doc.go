// SPDX-License-Identifier: Apache-2.0

// Package envtest gives a Go test an environment of its own: machines as env.yaml defines them, healthy, with their addresses, removed when the test ends.
//
//	func TestShopShowsRows(t *testing.T) {
//		shop := envtest.Up(t, "../env.yaml", envtest.Tier("ci"))
//		res, err := http.Get("http://" + shop.Machine("web-1").Addr(80) + "/")
//		...
//	}
//
// It is for tests that need the real thing: the images that production runs, systemd, the firewall between machines. It is not for tests that a fake serves. The
// one rule: an environment of envtest's is a copy that nobody else has, so it never touches one that is there, and what it could not remove expires.
//
// Provider plugins are found as the command finds them: beside an `evenkeel` on PATH, and in $EVENKEEL_PLUGIN_PATH.
package envtest
