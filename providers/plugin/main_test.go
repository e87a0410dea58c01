// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/providers/plugin"
)

// TestMain makes this binary a plugin where it is called as one, through a link, and the client of one where a test runs it to kill it.
func TestMain(m *testing.M) {
	if name, ok := strings.CutPrefix(filepath.Base(os.Args[0]), "env-provider-"); ok {
		behave(name)
		return
	}
	if journal := os.Getenv(clientOf); journal != "" {
		os.Stderr.WriteString(playClient(journal).Error() + "\n")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func behave(name string) {
	switch name {
	case "crash":
		os.Stderr.WriteString("no libfoo.so.3\n")
		os.Exit(3)
	case "hang":
		select {}
	case "mute":
		listener, err := net.Listen("unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "mute"))
		if err != nil {
			os.Exit(4)
		}
		os.Stdout.WriteString("1|1|unix|" + listener.Addr().String() + "|grpc|\n")
		select {}
	case "older":
		os.Stdout.WriteString("1|99|unix|/tmp/none|grpc|\n")
		select {}
	case "other":
		p := echo()
		p.Name = "somebody"
		plugin.Serve(p)
	default:
		plugin.Serve(echo())
	}
}
