package main

import "github.com/spf13/cobra"

func newFsck() *cobra.Command { return &cobra.Command{Use: "fsck"} }
func newDemo() *cobra.Command { return &cobra.Command{Use: "demo"} }
