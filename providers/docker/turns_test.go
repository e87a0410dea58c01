// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/docker"
)

// busyDaemon has four machines that run, and notes how many containers are on their way to or off a network at once.
type busyDaemon struct {
	mu        sync.Mutex
	now, most int             // that leave
	off       int             // that have left
	gone      map[string]bool // by ID
	early     bool            // the network was removed before all had left
	removing  int
	together  bool // several were removed at once
}

func (d *busyDaemon) answer(w http.ResponseWriter, request string) {
	const labels = `"com.github.evenkeel.env": "shop.ci", "com.github.evenkeel.kind": "%s", "com.github.evenkeel.name": "web-%d"`
	switch {
	case request == "GET /containers/json":
		var list []string
		d.mu.Lock()
		for i := range 4 {
			if id := fmt.Sprintf("c%d", i); !d.gone[id] {
				list = append(list, fmt.Sprintf(`{"Id": %q, "State": "running", "Labels": {`+labels+`}, "NetworkSettings": {"Networks": {"n": {"NetworkID": "n", "IPAddress": "10.214.0.%d"}}}}`, id, "machine", i, i+2))
			}
		}
		d.mu.Unlock()
		fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
	case request == "GET /networks":
		fmt.Fprintf(w, `[{"Id": "n", "Name": "evenkeel_shop.ci", "Labels": {`+labels+`}}]`, "network", 0)
	case request == "GET /volumes":
		fmt.Fprint(w, `{"Volumes": []}`)
	case request == "POST /networks/n/disconnect", strings.HasSuffix(request, "/stop"):
		d.leave()
	case strings.HasPrefix(request, "DELETE /containers/"):
		d.mu.Lock()
		d.removing++
		d.together = d.together || d.removing > 1
		d.mu.Unlock()
		time.Sleep(100 * time.Millisecond)
		d.mu.Lock()
		d.removing--
		d.gone[strings.TrimPrefix(request, "DELETE /containers/")] = true
		d.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case request == "DELETE /networks/n":
		d.mu.Lock()
		d.early = d.early || d.off < 4
		d.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	default:
		id := strings.TrimSuffix(strings.TrimPrefix(request, "GET /containers/"), "/json")
		fmt.Fprintf(w, `{"Id": %q, "Config": {"Labels": {`+labels+`}}}`, id, "machine", 0)
	}
}

func (d *busyDaemon) leave() {
	d.mu.Lock()
	d.now++
	d.most = max(d.most, d.now)
	d.mu.Unlock()
	time.Sleep(20 * time.Millisecond)
	d.mu.Lock()
	d.now--
	d.off++
	d.mu.Unlock()
}

// TestContainersLeaveANetworkOneAfterTheOther where two at once may hang the daemon for good; what has left is removed at once all the same. A newer daemon has them
// leave at once.
func TestContainersLeaveANetworkOneAfterTheOther(t *testing.T) {
	for api, most := range map[string]int{"1.41": 1, "1.42": 4} {
		open := func(d *busyDaemon) providers.Provider {
			p, err := docker.Plugin().Open(t.Context(), daemonAt(t, api, d.answer), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = p.Close() })
			return p
		}
		leave := func(what string, d *busyDaemon) {
			if d.off != 4 || d.most > most || most > 1 && d.most == 1 {
				t.Errorf("API %s: %s: %d left the network, at most %d at once, want 4 and %d", api, what, d.off, d.most, most)
			}
		}
		removed := &busyDaemon{gone: map[string]bool{}}
		if err := open(removed).DeleteEnv(t.Context(), "shop.ci", false); err != nil {
			t.Error(err)
		}
		leave("delete", removed)
		if removed.early || !removed.together {
			t.Errorf("API %s: the network was removed too early: %v; what had left was removed at once: %v; want false and true", api, removed.early, removed.together)
		}
		stopped := &busyDaemon{gone: map[string]bool{}}
		starter, _ := providers.As[providers.Starter](open(stopped))
		var work sync.WaitGroup
		for i := range 4 {
			work.Go(func() {
				if err := starter.StopMachine(t.Context(), fmt.Sprintf("c%d", i)); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		leave("stop", stopped)
	}
}
