"""What is kept, and how: schema, migrations, the tables' models and the writing of events."""
