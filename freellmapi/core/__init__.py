"""The words of the domain: values and rules, standard library only."""
