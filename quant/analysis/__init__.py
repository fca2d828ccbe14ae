"""What is known of a network without hardware: its activity, what frames reached of it, what can appear in it at
all."""
