// Says that the tab it stands in was drawn.
trigger('load');
