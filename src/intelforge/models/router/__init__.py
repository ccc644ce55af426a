"""The router: which model a request goes to, by what it is predicted to be worth, cost and take, learned from use."""
