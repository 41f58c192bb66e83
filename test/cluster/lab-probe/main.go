// Command lab-probe is a placeholder.
package main

func main() {}
