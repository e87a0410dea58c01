// SPDX-License-Identifier: Apache-2.0

// Package progress is how long work tells what it is doing. It carries data, never text layout.
package progress

// Event is one step of one subject. One without Subject and without Total is a remark on the whole, said once. An event with Total > 0 measures; one with Done == Total ends its stage.
type Event struct {
	Subject string `json:"subject"`          // a machine (web-1), an image (web), or "" for the whole
	Stage   string `json:"stage"`            // a short fixed word: fetch, unpack, create, boot, contact, settle, health
	Detail  string `json:"detail,omitempty"` // what in particular
	Done    int64  `json:"done,omitempty"`
	Total   int64  `json:"total,omitempty"`
	Bytes   bool   `json:"bytes,omitempty"` // Done and Total count bytes, else steps
}

// Func receives events. It may be called from several goroutines at once, must not block, and may be nil: call Emit.
type Func func(Event)

// Emit passes e on where f is not nil.
func (f Func) Emit(e Event) {
	if f != nil {
		f(e)
	}
}
