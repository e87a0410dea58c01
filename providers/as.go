// SPDX-License-Identifier: Apache-2.0

package providers

import "reflect"

// As finds an ability of p: the first provider in the chain of Unwrap that implements T and, where it is an Abler, can do it.
//
//	if s, ok := providers.As[providers.Starter](p); ok { ... }
func As[T any](p Provider) (T, bool) {
	name := reflect.TypeFor[T]().Name()
	for p != nil {
		if t, ok := p.(T); ok {
			a, asks := p.(Abler)
			if !asks || a.Can(name) {
				return t, true
			}
		}
		u, ok := p.(Unwrapper)
		if !ok {
			break
		}
		p = u.Unwrap()
	}
	var none T
	return none, false
}
