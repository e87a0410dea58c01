package main

import "context"

func (b *bench) reports(ctx context.Context) error { return nil }
